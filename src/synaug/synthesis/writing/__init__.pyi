from .chat_service import ChatWriter as ChatWriter
from .local_model import LocalWriter as LocalWriter
from .prompt_writer import Task as Task
from .prompt_writer import Writer as Writer
from .prompt_writer import write_prompts as write_prompts
