"""One view over any denoiser: blocks, attention, feed-forward parts, UNet stages and skips; how to step into them."""

from suffuse.backbone.sites.backbone import Backbone, Site, SiteKind, unwrapped
from suffuse.backbone.sites.errors import SitesError, UnknownDenoiserError
from suffuse.backbone.sites.flops import FlopCounter
from suffuse.backbone.sites.interception import Interception
from suffuse.backbone.sites.layout import Layout, layout_of, register
from suffuse.backbone.sites.probe import Probe, Profile, Seen, Skip, probe
from suffuse.backbone.sites.streams import Stream, Streams
from suffuse.backbone.sites.table import LAYOUTS

__all__ = [
    "LAYOUTS",
    "Backbone",
    "FlopCounter",
    "Interception",
    "Layout",
    "Probe",
    "Profile",
    "Seen",
    "Site",
    "SiteKind",
    "SitesError",
    "Skip",
    "Stream",
    "Streams",
    "UnknownDenoiserError",
    "layout_of",
    "probe",
    "register",
    "unwrapped",
]
