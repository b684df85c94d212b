"""Adapters to other libraries for imaging, a file each: import the one whose library you have.

Importing this package imports none of them.
"""
