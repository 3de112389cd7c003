"""A new instance's root: the little that a server's image must have before the agent can work on it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.sandbox.agent.bubble import BORROWED, prepare_mount_points
from orchestrator.sandbox.agent.folders import copy_folder
from orchestrator.sandbox.agent.hooks import PATH
from orchestrator.sandbox.agent.layout import AGENT, DEPLOYMENT_ROOT
from orchestrator.sandbox.agent.rooted import Root

_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the instance's own
_FOLDERS = (
    "/boot", "/etc/pam.d", "/etc/systemd/system", "/home/ec2-user", "/mnt", "/opt", "/root", "/run", "/srv",
    "/var/lib", "/var/log", "/var/www", *_TEMPORARY,
)  # fmt: skip
_PAM = (
    "auth sufficient pam_rootok.so\nauth required pam_deny.so\n"
    "account required pam_permit.so\nsession required pam_permit.so\n"
)
_FILES = {
    "/etc/passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
        "bin:x:2:2:bin:/bin:/usr/sbin/nologin\n"
        "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"
        "ec2-user:x:1000:1000:EC2 Default User:/home/ec2-user:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "/etc/group": "root:x:0:\ndaemon:x:1:\nbin:x:2:\nwww-data:x:33:\nec2-user:x:1000:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    "/etc/os-release": 'NAME="orchestrator sandbox"\nID=sandbox\nPRETTY_NAME="An instance of the sandbox"\n',
    "/etc/pam.d/su": _PAM,
    "/etc/pam.d/other": _PAM,
    "/etc/shells": "/bin/sh\n/bin/bash\n",
    "/etc/login.defs": f"ENV_PATH PATH=/usr/local/bin:/usr/bin:/bin\nENV_SUPATH PATH={PATH}\n",
}
_SECRETS = {"/etc/shadow": "root:*:19000:0:99999:7:::\nec2-user:*:19000:0:99999:7:::\n", "/etc/gshadow": "root:*::\n"}


def make_instance(folder: Path, hostname: str, image: Path | None = None) -> Root:
    """The root in `folder`, which nobody else can enter: a script that runs as root could leave a setuid program.

    `image`: a folder whose contents a new instance has besides, over what all have.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / "root"
    is_new = not path.exists()
    path.mkdir(exist_ok=True)
    root = Root(path, cwd=AGENT)
    if is_new:
        _fill(root, hostname)
        if image is not None:
            copy_folder(image, root, lambda _size: None)
    return root


def _fill(root: Root, hostname: str) -> None:
    root.chmod("/", 0o755)
    prepare_mount_points(root)
    for name in _FOLDERS:
        root.mkdirs(name)
    for name in _TEMPORARY:
        root.chmod(name, 0o1777)
    for name, text in {**_FILES, "/etc/hostname": f"{hostname}\n"}.items():
        root.write(name, text.encode())
    for name, text in _SECRETS.items():
        root.write(name, text.encode())
        root.chmod(name, 0o600)
    root.mkdirs(DEPLOYMENT_ROOT)
    for name in BORROWED:
        root.symlink(f"/dev/{name}", f"/etc/{name}")
