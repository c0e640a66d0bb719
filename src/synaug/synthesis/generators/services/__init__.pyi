from .http_client import HttpClient as HttpClient
from .http_client import Refused as Refused
from .http_client import Unusable as Unusable
from .image_api import OPENAI as OPENAI
from .image_api import ServiceGenerator as ServiceGenerator
from .image_api import load_service as load_service
from .paid_images import PAID as PAID
