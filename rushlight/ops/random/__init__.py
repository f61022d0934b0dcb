"""Generators and draws."""
