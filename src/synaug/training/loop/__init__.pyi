from .representation import Place as Place
from .representation import Watched as Watched
from .representation import train_representation as train_representation
from .resumable_training import CURVES as CURVES
from .resumable_training import Track as Track
from .resumable_training import TrainingLog as TrainingLog
from .steps import MAX_SKIPPED as MAX_SKIPPED
