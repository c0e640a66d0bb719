from .csv_rows import separator_of as separator_of
from .manifest_checks import check_stays_in as check_stays_in
from .manifest_checks import manifest_fault as manifest_fault
from .whole_numbers import count_of as count_of
from .whole_numbers import number_array as number_array
