from .duplicates import duplicate_notes as duplicate_notes
from .duplicates import with_duplicates as with_duplicates
from .near_duplicates import EQUAL as EQUAL
from .near_duplicates import Prints as Prints
from .near_duplicates import alike_distances as alike_distances
from .near_duplicates import has_twin as has_twin
from .near_duplicates import make_prints as make_prints
from .near_duplicates import make_views as make_views
