"""Deploys: facts and operations combined. Each file can be run with pyinfra, or imported."""
