import warnings

# joblib replaces a worker whose memory has grown, and says so each time; nothing is lost by it
warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
