"""`roads`: the network itself, so that any other tool can check a trip."""

from suffuse.trajectory.cli.app import app
from suffuse.trajectory.cli.options import City, Out, console
from suffuse.trajectory.roads.cities import load_city
from suffuse.trajectory.roads.write import write_roads


@app.command()
def roads(out: Out, city: City = "la-serena") -> None:
    """Write a city's road segments: .geojson, .graphml, .gpkg or .parquet."""
    network = load_city(city)
    write_roads(network, out)
    console.print(f"{len(network):,} segments of {network.name} written to {out}", highlight=False, soft_wrap=True)
