"""What may be found on chest CT: names, codes and urgency as a table; cards name the packages."""
