#!/bin/sh
# keep_serving_side.sh SOURCE: removes the folders and commands that only conversion and training need. On x86-64 TensorFlow
# becomes its build without CUDA, which is 700 MB smaller.
set -eu
cd "$1"
for part in conversion input models training selftraining convert.py train.py selftrain.py export.py api/opened_records.py; do
  rm -r "bird_tf/$part"
  sed -i "\|bird_tf\.${part%.py}\>|d" setup.cfg
done
if [ "$(uname -m)" = x86_64 ]; then
  sed -i 's/^\( *\)tensorflow\([>=]=\)/\1tensorflow-cpu\2/' setup.cfg constraints/certified.txt
fi
