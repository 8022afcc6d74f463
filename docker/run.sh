#!/bin/sh
# bird-tf-run DATASET [flags of the training]: converts DATASET (audio/ and, for BirdCLEF, xml/) if it has no records yet,
# trains by the recommended recipe or these flags, evaluates, and leaves everything in the data set's folder.
set -eu
if [ $# -lt 1 ] || [ ! -d "$1" ]; then
  echo "error: name the folder of a data set: bird-tf-run DATASET [--flagfile=...]; it holds audio/ and, for BirdCLEF, xml/" >&2
  exit 2
fi
dataset=${1%/}
shift
metadata=
[ -d "$dataset/xml" ] && metadata="--metadata=$dataset/xml"
if [ ! -f "$dataset/records/manifest.json" ]; then
  bird-tf-convert --audio="$dataset/audio" ${metadata:+"$metadata"} --output="$dataset/records"
fi
bird-tf-train "$@" --records="$dataset/records" --run_dir="$dataset/run"
bird-tf-evaluate --model="$dataset/run/export" --records="$dataset/records" --output="$dataset/evaluation"
