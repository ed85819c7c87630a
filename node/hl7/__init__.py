"""HL7 version 2: character sets, encoding rules, the minimal lower layer protocol."""
