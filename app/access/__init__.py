"""Access to the API: keys with roles, stored as hashes."""

from app.access.key_file import KeyFile, KeyFileError, keys_path
from app.access.keys import ROLES, Key, NewKey, Role, made
from app.access.opening import OpenApi, check_open, is_loopback
from app.access.sessions import Sessions

__all__ = [
    "ROLES",
    "Key",
    "KeyFile",
    "KeyFileError",
    "NewKey",
    "OpenApi",
    "Role",
    "Sessions",
    "check_open",
    "is_loopback",
    "keys_path",
    "made",
]
