from .audit import Looks as Looks
from .audit import audit_section as audit_section
from .audit import audit_with_rejections as audit_with_rejections
from .domain_gap import gap_report as gap_report
from .domain_gap import gap_section as gap_section
from .domain_gap import normalized as normalized
from .shortcut import shortcut_warnings as shortcut_warnings
