"""The page for people: the reading worklist live, a study with its pictures, the node's state."""

from node.web.access.sessions import read_key
from node.web.access.tokens import acts_for
from node.web.app import API, make_app
from node.web.context import PageContext
from node.web.server import address, serving

__all__ = ["API", "PageContext", "acts_for", "address", "make_app", "read_key", "serving"]
