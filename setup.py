"""Compiles the EXI kernel natively where a C compiler exists; the same file runs interpreted where none does."""

from setuptools import setup

setup()
