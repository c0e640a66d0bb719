from .review import check_applied as check_applied
from .review import check_present as check_present
from .review_server import ReviewServer as ReviewServer
from .review_session import ReviewSession as ReviewSession
from .review_tools import read_review_file as read_review_file
from .review_tools import write_review_files as write_review_files
