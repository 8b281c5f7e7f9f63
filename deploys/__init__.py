"""Deploys: facts and operations composed. Each file can be given to pyinfra as it is, or imported."""
