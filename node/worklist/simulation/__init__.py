"""A reading list simulated: waiting times with and without triage."""
