"""Who may ask the API: keys with roles, hashed at rest."""

from app.access.key_file import KeyFile, KeyFileError, keys_path
from app.access.keys import ROLES, Key, NewKey, Role, made, session_of
from app.access.opening import OpenApi, check_open, is_loopback

__all__ = [
    "ROLES",
    "Key",
    "KeyFile",
    "KeyFileError",
    "NewKey",
    "OpenApi",
    "Role",
    "check_open",
    "is_loopback",
    "keys_path",
    "made",
    "session_of",
]
