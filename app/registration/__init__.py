"""From a reference table to a registered model version."""

from app.registration.monitoring import MonitoringError, MonitoringFile, TableColumns, monitoring_of
from app.registration.profiling import Reference, profile_of, read_reference
from app.registration.publish import RegistrationError, read_baseline, register
from app.registration.roles import Roles, features_of, roles_of
from app.registration.setup import (
    kinds_of_metadata,
    read_metadata,
    read_monitoring,
    setup_monitoring,
)
from app.registration.setup_keys import MonitoringSetup
from app.registration.task import task_of
from app.tables import FileOptions, TableError, read_table

__all__ = [
    "FileOptions",
    "MonitoringError",
    "MonitoringFile",
    "MonitoringSetup",
    "Reference",
    "RegistrationError",
    "Roles",
    "TableColumns",
    "TableError",
    "features_of",
    "kinds_of_metadata",
    "monitoring_of",
    "profile_of",
    "read_baseline",
    "read_metadata",
    "read_monitoring",
    "read_reference",
    "read_table",
    "register",
    "roles_of",
    "setup_monitoring",
    "task_of",
]
