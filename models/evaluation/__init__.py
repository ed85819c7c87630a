"""How well a package does on images that it has not seen: `measuring` measures, `page` writes it for people."""
