"""Radiology reports from HL7 ORU^R01: read, kept, and exported without what names the patient."""
