"""Folders of labelled images, and image files as network inputs."""
