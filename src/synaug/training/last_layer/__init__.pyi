from .features import LabeledFeatures as LabeledFeatures
from .retrain import method_named as method_named
from .retrain import own_groups as own_groups
from .retrain import predicted_groups as predicted_groups
from .retrain import retrain_classifier as retrain_classifier
from .solvers import WITHOUT_REGULARIZATION as WITHOUT_REGULARIZATION
