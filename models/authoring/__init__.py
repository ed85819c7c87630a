"""A package of a user's own network, step by step; `import readfirst` is its front door."""
