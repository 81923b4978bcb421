"""All settings: one module a subject. What differs between installations comes from the environment
or an env file (the tables in docs/OPERATION.md).

Each module gives all its names: a setting that had to be listed here as well would be forgotten
one day, and silently do nothing.
"""

from dtadmin.environment import *
from dtadmin.settings.apps import *
from dtadmin.settings.databases import *
from dtadmin.settings.log_in import *
from dtadmin.settings.operation import *
from dtadmin.settings.pages import *
from dtadmin.settings.web import *
