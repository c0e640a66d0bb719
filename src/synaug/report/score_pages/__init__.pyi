from .score_figures import check_figure as check_figure
from .score_figures import write_score_figure as write_score_figure
from .score_page import check_page as check_page
from .score_page import write_score_page as write_score_page
