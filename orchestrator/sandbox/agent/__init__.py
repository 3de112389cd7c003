"""Instances that really deploy: each a folder that is the `/` of a machine, with what the CodeDeploy agent does on it.

Start with `fleet.InstanceAgents`. Own words and code after the behaviour of aws-codedeploy-agent 1.8 on Linux; what the
agent says in its errors is quoted where users will look for it.
"""
