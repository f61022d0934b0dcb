"""Convolutions; read `conv` first."""
