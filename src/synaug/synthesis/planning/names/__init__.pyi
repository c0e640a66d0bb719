from .ambiguous_names import name_warnings as name_warnings
from .ambiguous_names import names_in_prompts as names_in_prompts
from .wordnet import check_all_named as check_all_named
from .wordnet import synsets as synsets
