"""The page for people: the reading worklist live, a study with its pictures, the node's state."""

from node.web.app import API, make_app
from node.web.desk import Desk
from node.web.server import address, serving
from node.web.sessions import read_key

__all__ = ["API", "Desk", "address", "make_app", "read_key", "serving"]
