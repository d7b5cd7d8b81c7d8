"""Mutants of the parameter and memory modules: does a test notice when the code is wrong?"""
