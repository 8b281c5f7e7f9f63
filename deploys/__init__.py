"""Deploys: facts and operations composed. None yet: this release looks and changes nothing."""
