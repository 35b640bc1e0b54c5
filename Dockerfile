# docker build -t jointpose .
# docker run --rm -v "$PWD:/work" jointpose main --restore pretrained/flic --predict picture.jpg
FROM python:3.12-slim
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir -r /tmp/requirements.txt
COPY . /tmp/jointpose
RUN pip install --no-cache-dir --no-deps /tmp/jointpose && rm -r /tmp/jointpose
WORKDIR /work
ENTRYPOINT ["jointpose"]
