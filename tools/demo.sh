#!/usr/bin/env bash
# What `make demo` shows: a thousand trips, how good they are, and a map of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p demo

suffuse trajectory generate --city la-serena -n 1000 --seed 0 --out demo/trips.geojson
suffuse trajectory generate --city la-serena -n 1000 --seed 0 --out demo/trips.parquet
suffuse trajectory roads --city la-serena --out demo/roads.gpkg
suffuse trajectory evaluate --city la-serena --generated demo/trips.geojson --json demo/metrics.json
suffuse trajectory show demo/trips.geojson --out demo/map.html
suffuse trajectory show demo/trips.geojson --out demo/map.png

cat <<END

A thousand trips in La Serena, Chile (a real road network; the model learned from simulated trips):
  demo/map.html       the map: open it in a browser, it needs no connection
  demo/map.png        the same as a picture
  demo/trips.geojson  the trips, for QGIS and the like; demo/trips.parquet is the same as GeoParquet
  demo/roads.gpkg     the road network
  demo/metrics.json   the table above
END
