"""Many compounds: a campaign is an AiiDA group of its runs; its state is read from provenance."""

from aiida_iontherm.campaigns.group import CampaignGroup, add_run

__all__ = ["CampaignGroup", "add_run"]
