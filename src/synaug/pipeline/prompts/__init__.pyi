from .run_prompts import count_prompts as count_prompts
from .run_prompts import export_prompts as export_prompts
from .write_prompts import check_written as check_written
from .write_prompts import write_prompt_file as write_prompt_file
