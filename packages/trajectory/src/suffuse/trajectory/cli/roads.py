"""`roads`: the network itself, so that any other tool can check a trip."""

from suffuse.console import say
from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, Mode, Out
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.write import check_roads_suffix, write_roads


@app.command()
def roads(out: Out, city: City = "la-serena", mode: Mode = None) -> None:
    """Write a city's road segments: .geojson, .graphml, .gpkg or .parquet."""
    check_roads_suffix(out)
    network = load_city(city, mode)
    write_roads(network, out)
    say(f"{len(network):,} segments of {network.name} written to {out}")
