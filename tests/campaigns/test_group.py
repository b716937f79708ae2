"""The group of a campaign: an AiiDA group of its own type that knows its runs in order."""

import pytest
from aiida.orm import Group, WorkChainNode, load_group
from aiida.plugins import GroupFactory

from aiida_iontherm.campaigns import CampaignGroup, add_run

pytestmark = pytest.mark.usefixtures("aiida_profile")


def test_entry_point():
    assert GroupFactory("iontherm.campaign") is CampaignGroup


def test_runs_in_the_order_they_were_started():
    first, second = WorkChainNode().store(), WorkChainNode().store()
    add_run("halides", second)
    campaign = add_run("halides", first)
    add_run("halides", first)  # twice does not count twice
    assert [run.pk for run in campaign.runs()] == [first.pk, second.pk]
    loaded = load_group("halides")
    assert isinstance(loaded, CampaignGroup)
    assert loaded.pk == campaign.pk


def test_groups_of_other_types_are_left_alone():
    other = Group(label="argyrodites").store()
    campaign = add_run("argyrodites", WorkChainNode().store())
    assert campaign.pk != other.pk
    assert other.is_empty
