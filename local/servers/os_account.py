"""The system user that the embedded servers run as, and folders that this user can enter."""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from errors import SetupError
from local.servers.process import OsAccount

SYSTEM_USER = "fashion-studio"
STATE_ROOT = Path("/var/lib/fashion-studio")


def server_account(folder: Path) -> OsAccount | None:
    """The account of a server: None for an ordinary user, for root the owner or a system user.

    Raises:
        SetupError: the folder belongs to another user, or no system user can be made.
    """
    owner = folder.stat().st_uid if folder.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise SetupError(
                f"{folder} belongs to {_user_name(owner)}: start the studio as that user"
            )
        return None
    if owner:
        entry = pwd.getpwuid(owner)
        return OsAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)
    return _system_account()


def can_reach(account: OsAccount | None, folder: Path) -> bool:
    """Whether the account can enter the folder; tries it, as not only permission bits decide."""
    if account is None:
        return os.access(folder, os.X_OK)
    return (
        subprocess.run(
            ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stderr=subprocess.DEVNULL,
            check=False,
        ).returncode
        == 0
    )


def server_folder(data_dir: Path, name: str) -> Path:
    """The folder of a server in the data folder; it is made where it is missing.

    If the server's user can't enter the data folder (below /root, for example), no permissions are
    changed: the folder is made under /var/lib, and the data folder gets a link to it.
    """
    link = data_dir / name
    if link.is_symlink() and not link.exists():
        raise SetupError(
            f"{link} points to {link.readlink()}, which is missing: restore that folder, "
            f"or remove the link to start without its data"
        )
    if not link.exists():
        if os.geteuid() == 0 and not can_reach(_system_account(), data_dir):
            digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
            home = _passable(STATE_ROOT / digest / name, below=STATE_ROOT.parent)
            link.symlink_to(home)
        else:
            _passable(link, below=data_dir)
    return link.resolve()


def _passable(folder: Path, below: Path) -> Path:
    """Makes folders that other users may pass through, independent of the umask."""
    for part in (*reversed(folder.parents), folder):
        if part.is_relative_to(below) and part != below and not part.exists():
            part.mkdir()
            part.chmod(0o711)
    return folder


def server_programs(package: str, parts: tuple[str, ...], account: OsAccount | None) -> Path:
    """The folder that contains `parts` of an installed package and that the account can enter."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(f"the package {package} is not installed: run `make up` again")
    installed = Path(spec.submodule_search_locations[0]).parent
    if account is None or can_reach(account, installed / parts[0]):
        return installed
    version = importlib.metadata.version(package)
    copy = STATE_ROOT / "programs" / f"{package}-{version}"
    if not copy.exists():
        _copy_programs(installed, parts, copy)
    return copy


def _copy_programs(installed: Path, parts: tuple[str, ...], copy: Path) -> None:
    """Copies the programs; the copy gets its name at the end, so it is complete or absent."""
    _passable(copy.parent, below=STATE_ROOT.parent)
    staging = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    for part in parts:
        shutil.copytree(
            installed / part,
            staging / part,
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "__pycache__"),
        )
    for path in (staging, *staging.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or os.access(path, os.X_OK)
            path.chmod(0o755 if executable else 0o644)
    staging.rename(copy)


def _system_account() -> OsAccount:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _make_system_user()
        entry = pwd.getpwnam(SYSTEM_USER)
    return OsAccount(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_system_user() -> None:
    advice = f"start the studio as an ordinary user, or make the system user {SYSTEM_USER}"
    program = shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin:/sbin")
    if program is None:
        raise SetupError(f"PostgreSQL refuses to run as root and there is no `useradd`: {advice}")
    command = [program, "--system", "--no-create-home", "--home-dir", str(STATE_ROOT)]
    done = subprocess.run(
        [*command, "--user-group", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 9):  # 9: another studio has just made it
        raise SetupError(f"`useradd {SYSTEM_USER}` failed ({done.stderr.strip()}): {advice}")


def _user_name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user {uid}"
