from .directories import sync_folder as sync_folder
from .effects import naming as naming
from .locks import holders as holders
from .locks import is_lock_file as is_lock_file
from .locks import lock as lock
from .names import MAX_COMPONENT as MAX_COMPONENT
from .names import TEMPORARY as TEMPORARY
from .names import component as component
from .names import component_fault as component_fault
from .names import folded as folded
from .names import inside as inside
from .names import is_token_name as is_token_name
from .names import token_name as token_name
from .removal import remove_file as remove_file
from .removal import remove_temporary as remove_temporary
from .removal import remove_tree as remove_tree

__all__ = [
    "MAX_COMPONENT",
    "TEMPORARY",
    "component",
    "component_fault",
    "folded",
    "holders",
    "inside",
    "is_lock_file",
    "is_token_name",
    "lock",
    "naming",
    "remove_file",
    "remove_temporary",
    "remove_tree",
    "sync_folder",
    "token_name",
]
