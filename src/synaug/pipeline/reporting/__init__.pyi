from .notes import amount_note as amount_note
from .notes import may_not_need_images as may_not_need_images
from .notes import model_note as model_note
from .report import is_reported as is_reported
from .report import plan_section as plan_section
