from .counted import agreeing as agreeing
from .counted import counted as counted
from .durations import duration as duration
from .durations import duration_in_words as duration_in_words
from .measures import measure_in_words as measure_in_words
