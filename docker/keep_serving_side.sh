#!/bin/sh
# keep_serving_side.sh SOURCE: removes what only training needs; prediction, evaluation and submission stay. On x86-64 TensorFlow
# becomes its build without CUDA, which is 700 MB smaller.
set -eu
cd "$1"
for module in listener worker plan journal convert folds augment sampling dataset preview models losses schedules optimizers export pretrained teachers distribution learning checkpoints validation monitor experiment rehearsal train; do
  rm -r "bird_tf/$module.py" 2>/dev/null || rm -r "bird_tf/$module"
  sed -i "/bird_tf\.$module/d" setup.cfg
done
if [ "$(uname -m)" = x86_64 ]; then
  sed -i 's/^\( *\)tensorflow\([>=]=\)/\1tensorflow-cpu\2/' setup.cfg constraints/certified.txt
fi
