"""HL7 orders that request a priority before the images are received."""
