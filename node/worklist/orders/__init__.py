"""Orders by HL7 that name a priority before the images come."""
