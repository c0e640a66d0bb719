from .candidates import uses_synthetic as uses_synthetic
from .choose import choose_classifier as choose_classifier
from .choose import choosing_candidates as choosing_candidates
from .choose import has_validation as has_validation
from .comparison import compared as compared
from .cross_validate import cross_validate_results as cross_validate_results
from .cross_validate import num_folds as num_folds
from .folds import FROZEN as FROZEN
