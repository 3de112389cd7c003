"""From a directory or a ready archive to what an instance gets: AppSpec checks, ignore rules, archives, digests.

Start with `source.open_source`. Everything here is synchronous, for worker threads: functions that may take long have a
`check`, which is called between files and chunks and may raise to end the work. This file imports nothing, so that what
needs only one of the modules pays for no other.
"""
