"""What is wrong or held up, each in one plain sentence, with what to do about it and where."""

from dicomnode.desk.troubles.everything import troubles
from dicomnode.desk.troubles.trouble import Trouble

__all__ = ["Trouble", "troubles"]
