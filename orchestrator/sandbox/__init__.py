"""Embedded S3, CodeDeploy and STS on loopback: see `server.Sandbox`.

It stands alone: it imports nothing of the product, so that it can judge the product.
"""
